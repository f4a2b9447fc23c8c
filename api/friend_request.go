package api

func (a *API) friendRequestEndpoints() []endpoint {
	return nil
}
