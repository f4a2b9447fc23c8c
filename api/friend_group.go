package api

func (a *API) friendGroupEndpoints() []endpoint {
	return nil
}
