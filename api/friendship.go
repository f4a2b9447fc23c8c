package api

func (a *API) friendshipEndpoints() []endpoint {
	return nil
}
